"""The code behind the report on white blood cells; importing it loads neither torch nor pandas."""

__version__ = "0.1.0"
