"""Which tools need which scope: log text has one of its own, wherever it is kept."""

from firstmate.catalogue import all_tools
from firstmate_tools.reads import AwsRead


def test_the_tool_for_logs_and_whatever_reads_logs_in_aws_belong_to_the_family_of_logs() -> None:
    every = {spec.name: spec for spec in all_tools()}
    assert every["logs"].family == "logs"
    in_aws = [
        spec.name
        for spec in every.values()
        if any(isinstance(read, AwsRead) and read.service == "logs" for read in spec.reads())
    ]
    # Pod logs are held back at the seam to the cluster (callerview.py); logs in AWS have no such seam.
    assert [name for name in in_aws if every[name].family != "logs"] == []
