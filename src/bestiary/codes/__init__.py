"""Codes: encode and decode examples, draw codes, walk between them, add them, invert a decoder."""
