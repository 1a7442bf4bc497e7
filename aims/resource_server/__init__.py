"""What a resource server checks before it lets an agent act. Knows neither Django nor the rest of this project.

Its imports are relative, so that the folder can be copied into another project as it is. See README.md.
"""
