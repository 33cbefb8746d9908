"""A scene in the formats of other programs: tables, meshes, volumes."""
