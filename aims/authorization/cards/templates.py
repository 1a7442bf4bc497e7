"""The templates: one for each type of ``authorization_details`` that we can say in words. Pure.

A change of any word here is a new version: raise ``version``, since people sign over the template's hash.
"""

from __future__ import annotations

from aims.authorization.cards.shape import Field, Template

PAYMENT = Template(
    id="payment",
    version=1,
    type="payment_initiation",
    tag="Payment",
    headline="Pay {instructedAmount} to {creditorName}",
    fields=(
        Field("Amount", ("instructedAmount",), "money", is_required=True),
        Field("To", ("creditorName",), "name", is_required=True),
        Field("To account", ("creditorAccount", "iban"), "iban", is_required=True),
        Field("From account", ("debtorAccount", "iban"), "iban"),
        Field("Reference", ("remittanceInformation",), "text"),
        Field("Reference", ("remittanceInformationUnstructured",), "text"),
        Field("Due", ("due",), "date"),
    ),
)
MESSAGE = Template(
    id="message",
    version=1,
    type="outbound_message",
    tag="Message to outsiders",
    headline="Send “{subject}” to {to}",
    fields=(
        Field("To", ("to",), "addresses", is_required=True),
        Field("Copy to", ("cc",), "addresses"),
        Field("Blind copy to", ("bcc",), "addresses"),
        Field("From", ("from",), "text"),
        Field("Channel", ("channel",), "text"),
        Field("Subject", ("subject",), "name", is_required=True),
        Field("Message", ("body",), "long", is_required=True),
        Field("Attachments", ("attachments",), "names"),
    ),
)
REPOSITORY = Template(
    id="repository-change",
    version=1,
    type="repository_change",
    tag="Repository change",
    headline="{operation} {source} into {branch} of {repository}",
    fields=(
        Field("Repository", ("repository",), "name", is_required=True),
        Field("Operation", ("operation",), "name", is_required=True),
        Field("Change", ("source",), "name", is_required=True),
        Field("Branch", ("branch",), "name", is_required=True),
        Field("Commit", ("commit",), "commit"),
        Field("Title", ("title",), "text"),
        Field("Files", ("files",), "names"),
        Field("Lines added", ("additions",), "count"),
        Field("Lines removed", ("deletions",), "count"),
    ),
)
DELETION = Template(
    id="data-deletion",
    version=1,
    type="data_deletion",
    tag="Data deletion",
    headline="Delete {count} records from {dataset}",
    fields=(
        Field("From", ("dataset",), "name", is_required=True),
        Field("Records", ("count",), "count", is_required=True),
        Field("Which", ("selection",), "text", is_required=True),
        Field("Backup kept", ("hasBackup",), "flag"),
        Field("Oldest", ("oldest",), "date"),
        Field("Newest", ("newest",), "date"),
    ),
)
# Neither knows a shape: every member is a raw row.
RAW = Template(
    id="raw",
    version=1,
    type="",
    tag="Raw view",
    headline="Allow “{type}” at {resource}",
    is_typed=False,
)
SCOPE = Template(
    id="scope",
    version=1,
    type="",
    tag="Reading",
    headline="Allow {actions} at {resource}",
)

TYPED = {template.type: template for template in (PAYMENT, MESSAGE, REPOSITORY, DELETION)}


def template_for(detail_type: str) -> Template:
    """Return the template of a type; the raw view for a type we have no words for."""
    return TYPED.get(detail_type, RAW)
