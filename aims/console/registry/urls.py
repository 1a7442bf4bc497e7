"""Pages about agents, resources, policies and grants."""

from __future__ import annotations

from django.urls import path

from aims.console.registry import agents, chains, giving, grant_page, grants, policies, resources, trust_domains

urlpatterns = [
    path("agents/", agents.agent_list, name="agents"),
    path("agents/new/", agents.new, name="agent-new"),
    path("agents/trust-domains/", trust_domains.trust_domains, name="trust-domains"),
    path("agents/trust-domains/<str:name>/retire/", trust_domains.retire, name="trust-domain-retire"),
    path("agents/<slug:ref>/", agents.agent_page, name="agent"),
    path("agents/<slug:ref>/edit/", agents.edit, name="agent-edit"),
    path("agents/<slug:ref>/owner/", agents.owner, name="agent-owner"),
    path("agents/<slug:ref>/suspend/", agents.suspend, name="agent-suspend"),
    path("agents/<slug:ref>/resume/", agents.resume, name="agent-resume"),
    path("agents/<slug:ref>/retire/", agents.retire, name="agent-retire"),
    path("agents/<slug:ref>/stop/", agents.stop, name="agent-stop"),
    path("resources/", resources.resource_list, name="resources"),
    path("resources/new/", resources.new, name="resource-new"),
    path("resources/<slug:ref>/", resources.resource_page, name="resource"),
    path("resources/<slug:ref>/edit/", resources.edit, name="resource-edit"),
    path("resources/<slug:ref>/retire/", resources.retire, name="resource-retire"),
    path("resources/<slug:ref>/return/", resources.take_back, name="resource-return"),
    path("policies/", policies.policy_page, name="policies"),
    path("policies/new/", policies.load, name="policy-new"),
    path("policies/<int:number>/", policies.policy_page, name="policy"),
    path("grants/", grants.grant_list, name="grants"),
    path("grants/new/", giving.give, name="grant-new"),
    path("grants/who/", chains.who, name="grants-who"),
    path("grants/<slug:ref>/", grant_page.grant_page, name="grant"),
    path("grants/<slug:ref>/narrow/", grant_page.narrow, name="grant-narrow"),
    path("grants/<slug:ref>/revoke/", grant_page.revoke, name="grant-revoke"),
    path("grants/<slug:ref>/pass-on/", giving.pass_on, name="grant-pass-on"),
    path("grants/<slug:ref>/chain/", chains.of_grant, name="grant-chain"),
    path("chains/<slug:txn>/", chains.chain, name="chain"),
    path("me/agents/", grants.my_agents, name="my-agents"),
]
