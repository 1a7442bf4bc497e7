"""Pages about agents, resources and policies."""

from __future__ import annotations

from django.urls import path

from aims.console.registry import agents, reading

urlpatterns = [
    path("agents/", reading.agent_list, name="agents"),
    path("agents/new/", agents.new, name="agent-new"),
    path("agents/<slug:ref>/", reading.agent_page, name="agent"),
    path("agents/<slug:ref>/suspend/", agents.suspend, name="agent-suspend"),
    path("agents/<slug:ref>/resume/", agents.resume, name="agent-resume"),
    path("agents/<slug:ref>/retire/", agents.retire, name="agent-retire"),
    path("agents/<slug:ref>/stop/", agents.stop, name="agent-stop"),
    path("resources/", reading.resource_list, name="resources"),
    path("resources/<slug:ref>/", reading.resource_page, name="resource"),
    path("policies/", reading.policy_list, name="policies"),
    path("policies/<int:number>/", reading.policy_list, name="policy"),
]
