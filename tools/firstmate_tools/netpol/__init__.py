"""Would NetworkPolicies let one endpoint reach another? Pure; knows objects, no cluster and no diagnosis."""

from firstmate_tools.netpol.endpoints import NAME_LABEL as NAME_LABEL
from firstmate_tools.netpol.endpoints import Endpoint as Endpoint
from firstmate_tools.netpol.endpoints import of_pod as of_pod
from firstmate_tools.netpol.evaluate import Flow as Flow
from firstmate_tools.netpol.evaluate import Verdict as Verdict
from firstmate_tools.netpol.evaluate import fits as fits
from firstmate_tools.netpol.evaluate import selecting as selecting
from firstmate_tools.netpol.evaluate import verdict as verdict
from firstmate_tools.netpol.policy import Direction as Direction
from firstmate_tools.netpol.policy import Policy as Policy
from firstmate_tools.netpol.policy import read as read
