"""What texts mean to the programs that read them: paths, users, ranges, options, commands. Pure; the rules ask it."""
