"""Statements: published criteria tried on the features of one ECG; the table of all of them is in `table`."""

from cardioloom.measure.statements.table import STATEMENTS, Statement, judge

__all__ = ["STATEMENTS", "Statement", "judge"]
