"""Run directories, read for people to look at: by the report, the terminal and the studio alike."""
