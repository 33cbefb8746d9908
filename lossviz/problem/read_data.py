"""The old place of the reader that problem files of ``lossviz init`` import; those files are their users' own."""

from lossviz.problem.data.read_data import read_data as read_data
