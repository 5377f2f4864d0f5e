"""YAML without aliases: a few bytes of them can unfold to gigabytes, or to a list within itself.

1e-3 is a number, as YAML 1.2 has it; the loader knows 1.1, which wants 1.0e-3.
"""

import re

import yaml


class _Plain(yaml.SafeLoader):
    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, f"found the alias *{event.anchor:.40}; write out what it stands for", event.start_mark
            )
        return super().compose_node(parent, index)


_POWER_OF_TEN = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")
_Plain.add_implicit_resolver("tag:yaml.org,2002:float", _POWER_OF_TEN, list("-+.0123456789"))


def load(content: str | bytes) -> object:
    """Return what YAML says, in dictionaries, lists and plain values.

    Raises
    ------
    yaml.YAMLError
        If it is none, uses an alias, or a value cannot be read as what it looks like or is called.
    """
    try:
        return yaml.load(content, _Plain)  # noqa: S506 (a safe loader)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise yaml.YAMLError(f"a value cannot be read: {str(error)[:200]}") from error
