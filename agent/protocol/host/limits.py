"""Numbers of the wire protocol that no device needs yet: they bound what a host reads and signs."""

KEY_LIST_MAX = 4096
PREFIX_LEVELS = 3  # names in the topic prefix
REASON_MAX = 32  # a reason code
EVENT_MAX = 48  # one entry of "events"
EPOCH_LENGTH = 8  # hex digits
W_MAX = 140737488355327  # boot * 65536 + counter: 47 bits
KEYS_MAX = 4  # keys in a key list
PROTOCOLS_MAX = 8
CAN_MAX = 16
SLOTS_MAX = 4
