"""What goes wrong with the stack in ways its user can mend."""


class StackError(Exception):
    """A sentence that says what is wrong and what to do."""
