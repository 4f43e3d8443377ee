"""YAML's nodes of a text, by whichever parser is there: a file is the same on every machine, with libyaml or without.

libyaml reads ten times as fast as PyYAML's own parser, and differs in corners. What it refuses, and what it may read in another way, is
read by PyYAML's parser, whose words and lines the messages have.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import yaml

MOST_LEVELS: Final = 500
"""For libyaml, more than any file needs."""
_READ_OTHERWISE: Final = re.compile(r"""[\t\ufeff]|(?:^|[\s,:\[{-])!|[|>][-+0-9]*\#""")
"""What libyaml takes and PyYAML does not, or takes for something else: tabs, a byte order mark inside, tags, a comment that touches the
sign of a block."""


def composed(content: str) -> yaml.Node | None:
    """None: the text is empty. ``YAMLError``, ``RecursionError``; ``ValueError`` or ``OverflowError`` for an escape beyond Unicode."""
    import yaml

    fast = getattr(yaml, "CSafeLoader", None)
    if fast is not None and _suits_libyaml(content):
        try:
            root: yaml.Node | None = yaml.compose(content, Loader=fast)
        except (yaml.YAMLError, UnicodeError):
            pass
        else:
            if isinstance(root, yaml.MappingNode) and not _asks_in_brackets(root, content):
                return root  # whatever else is no experiment, and refused with the line that PyYAML gives it
    return yaml.compose(content, Loader=yaml.SafeLoader)


def _suits_libyaml(content: str) -> bool:
    """Nothing that libyaml reads in another way than PyYAML; and not nested so deep that libyaml, which recurs, could exceed the stack:
    flows need a bracket a level, blocks a column before the first word of a line."""
    if _READ_OTHERWISE.search(content) or content.count("[") + content.count("{") > MOST_LEVELS:
        return False
    return all(len(line) - len(line.lstrip(" -?")) <= MOST_LEVELS for line in content.splitlines())


def _asks_in_brackets(root: yaml.Node, content: str) -> bool:
    """Whether a question mark stands in a flow and in no quotes: there it ends a word to PyYAML, and not to libyaml."""
    import yaml

    if "?" not in content:
        return False
    asked = 0
    nowhere = range(0)
    ahead, seen = [(root, nowhere)], {id(root)}  # an alias is the node itself once more, and may stand inside that
    while ahead:
        node, flow = ahead.pop()
        place = range(node.start_mark.index, node.end_mark.index)
        if isinstance(node, yaml.CollectionNode):
            if node.flow_style and not flow:
                flow = place
                asked += content.count("?", place.start, place.stop)
            for below in node.value:
                for each in below if isinstance(below, tuple) else (below,):
                    if id(each) not in seen:
                        seen.add(id(each))
                        ahead.append((each, flow))
        elif isinstance(node, yaml.ScalarNode) and node.style in ("'", '"') and place.start in flow:
            asked -= content.count("?", place.start, place.stop)
    return asked > 0
