"""Texts that are safe to show in a page or in Markdown."""

import json
import re
from typing import Any

SPELLED_OUT = {  # control characters become their pictures; a change of the writing direction becomes its number
    **{code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n\r"},
    127: "␡",
    **{
        code: f"‹U+{code:04X}›"
        for code in (
            0x200E,
            0x200F,
            0x061C,
            *range(0x202A, 0x202F),
            *range(0x2066, 0x206A),
        )
    },
}


def visible(text: str) -> str:
    r"""Spells out the characters that would change the page instead of standing on it.

    >>> visible("a\x00b\u202ec")
    'a␀b‹U+202E›c'
    """
    return text.translate(SPELLED_OUT)


def plain(text: object) -> str:
    r"""Escapes a text so that Markdown shows it unchanged, also inside a table.

    >>> plain("a|b <i>")
    'a\\|b &lt;i>'
    """
    line = " ".join(str(text).split())
    line = line.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([|*`\[\]])", r"\\\1", line)


def slug(text: str) -> str:
    """Returns a text as a part of an address.

    >>> slug("Sequence length (tokens)")
    'sequence-length-tokens'
    """
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))


def json_in_html(value: Any) -> str:
    """Returns JSON that cannot end the script element that holds it.

    >>> json_in_html({"a": ["</script>", None]})
    '{"a":["\\\\u003c/script>",null]}'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return visible(text.replace("<", "\\u003c"))
