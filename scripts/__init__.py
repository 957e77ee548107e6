"""The commands. They compose the rooms and are imported by nobody."""
