"""The command line: verbs, tables, progress. Everything else is the library's."""
