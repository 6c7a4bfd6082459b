"""Why a request goes where it goes: pure, from the intent that Envoy runs and what is known of health."""

from isthmus.explain.cluster import EndpointHealth, Health
from isthmus.explain.explanation import Explanation, explanation_document, explanation_lines
from isthmus.explain.routing import explain

__all__ = ["EndpointHealth", "Explanation", "Health", "explain", "explanation_document", "explanation_lines"]
