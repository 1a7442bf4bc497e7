"""Pages about agents, resources and policies: above the rooms whose data they show together."""
