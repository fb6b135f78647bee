"""Parsers for texts as the programs that read them do: paths, users, ranges, options, commands. Pure; used by the rules."""
