"""Where things lie on the sheet, in millimetres."""
