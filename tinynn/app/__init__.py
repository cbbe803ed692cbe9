"""What stands on the library: the command line and pictures. Nothing below imports it."""
