"""The subject of a manifest: the site or region that it is for."""

from isthmus.model.key import ObjectKey


def site_subject(site: ObjectKey) -> str:
    """`default/site/fra` for the key of the Site `fra`."""
    return f"{site.tenant}/site/{site.name}"


def region_subject(region: ObjectKey) -> str:
    """`default/region/eu` for the key of the Region `eu`."""
    return f"{region.tenant}/region/{region.name}"


def subject_key(subject: str) -> ObjectKey:
    """The key of the Site or Region that a subject names.

    Raises:
        ValueError: the text is not a subject.
    """
    tenant, role, name = subject.split("/")
    kinds = {"site": "Site", "region": "Region"}
    if role not in kinds:
        raise ValueError(f"{subject!r} is not a subject: expected tenant/site/name or tenant/region/name")
    return ObjectKey(tenant, kinds[role], "", name)
