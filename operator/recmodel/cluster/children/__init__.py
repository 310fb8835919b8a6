"""The children of a RecModel as plain dictionaries. Pure."""
