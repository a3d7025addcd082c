"""What one can ask of a generator, and what one gets: shared by the command line, the served model and the server."""
