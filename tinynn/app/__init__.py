"""What stands on the library: the command line. Nothing below imports it."""
