"""What stands on the library: pictures. Nothing below imports it."""
