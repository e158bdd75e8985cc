"""What the end of a channel or of a dial means: Q.850 causes and Asterisk's DIALSTATUS as the contract's dispositions.

Sources: ITU-T Q.850 table 1; RFC 3398 section 8.2.6.1 (how SIP answers become causes), as Asterisk applies it.
"""

from vonal.domain.call import Disposition

_CAUSES: dict[int, Disposition] = {
    16: "answered",  # normal clearing; of a channel that was never answered, the reader decides
    17: "busy",  # SIP 486, 600
    18: "no_answer",  # 408: no user responding
    19: "no_answer",  # 480, and our own time limit
    21: "rejected",  # 401, 403, 407, 603: declined
    26: "no_answer",  # a colleague in the ring group was quicker
    31: "answered",  # normal, unspecified
}

_DIAL_STATUSES: dict[str, Disposition] = {
    "ANSWER": "answered",
    "BUSY": "busy",
    "NOANSWER": "no_answer",
    "CANCEL": "cancelled",
    "CHANUNAVAIL": "failed",
    "CONGESTION": "failed",
    "DONTCALL": "rejected",
    "TORTURE": "rejected",
    "INVALIDARGS": "failed",
}


def cause_disposition(cause: int) -> Disposition:
    """The disposition that a Q.850 cause tells; `failed` for all that say neither person ended it."""
    return _CAUSES.get(cause, "failed")


def dial_disposition(status: str) -> Disposition:
    """The disposition of one Dial, by its DIALSTATUS; `failed` when it is unknown."""
    return _DIAL_STATUSES.get(status, "failed")
