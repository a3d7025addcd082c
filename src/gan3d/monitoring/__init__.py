"""What watches, explains and estimates a training; nothing here changes its weights."""
