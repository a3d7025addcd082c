"""The prepare stage: convert, deduplicate, split, write."""
