"""Stages on Ray Data: actor pools that stream rows through, committing them as they finish."""
