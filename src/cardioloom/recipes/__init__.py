"""The systems, for training: each recipe reads like the method section of its paper.

What runs on a patient does not import this room.
"""

# Name → module with `train`, the recipe, `job`, `begun_with`, `Settings` and `PRESETS`.
RECIPES = {"ecgfounder": "cardioloom.recipes.ecgfounder", "ptacl": "cardioloom.recipes.ptacl"}
