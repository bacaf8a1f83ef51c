"""The former home of the grammar of parts, until every room imports from the files that hold it now."""

from bestiary.grammar.calls import split_arguments as split
from bestiary.grammar.part_calls import build_part as made
from bestiary.grammar.part_calls import parse_part as called
from bestiary.grammar.part_calls import part_signature as signed
from bestiary.grammar.part_lists import list_part_options as list_options
from bestiary.grammar.part_lists import merge_part_options as gathered
from bestiary.grammar.signatures import option_comments as comments
from bestiary.grammar.signatures import option_groups as groups
from bestiary.grammar.signatures import part_options, signature_options
from bestiary.grammar.signatures import with_defaults as like

__all__ = [
    "called", "comments", "gathered", "groups", "like", "list_options", "made", "part_options", "signature_options",
    "signed", "split",
]  # fmt: skip
