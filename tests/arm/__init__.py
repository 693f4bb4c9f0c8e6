"""A stand-in for Azure: Resource Manager, Resource Graph and the identity authority on 127.0.0.1, with TLS.

``with Arm(Estate(resources)) as arm: ...`` - the real SDK and azure-identity talk to ``arm.url`` and trust ``arm.ca``.
What it answers is checked against recorded answers of Azure and against Microsoft's examples, where those are present.
"""

from arm.access import Principal
from arm.asking import Asker, Reply
from arm.clock import Clock
from arm.estate import TENANT, Estate
from arm.faults import Fault
from arm.graph import Limits
from arm.quota import Quota
from arm.server import Arm
from arm.web import Seen

__all__ = ["TENANT", "Arm", "Asker", "Clock", "Estate", "Fault", "Limits", "Principal", "Quota", "Reply", "Seen"]
