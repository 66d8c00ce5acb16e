"""The numbers of the wire protocol, with their units. What is beyond one of these is refused, never cut.

host/limits.py has those that no device needs yet. docs/protocol.md names each constant of both; a test holds the
page to them.
"""

VERSION = 1  # of the wire protocol: the field "v"

# Largest payload of each control message, bytes. Checked before anything is parsed.
DESIRED_MAX = 4096
STATE_MAX = 1024
ACK_MAX = 512
WANT_MAX = 512
ONLINE_MAX = 128

# Counted in the payload as it comes, strings included, before anything is parsed: what a small heap can hold.
JSON_CONTAINERS_MAX = 32  # of [ and { together
JSON_QUOTES_MAX = 256  # of "

# Text, characters.
NAME_MAX = 64  # device, project, hardware, rollout, chip, slot; also the whole topic prefix
VERSION_MAX = 32  # version of an image or of the agent
SOURCE_MAX = 256  # one entry of "source"
TOPIC_MAX = 256  # a whole topic, bytes
CONTENT_LENGTH = 16  # hex digits
KID_LENGTH = 16  # hex digits

# Numbers.
N_MAX = 2147483647  # n, boot, k, conn: 31 bits
ATTEMPT_MAX = 65535
TIME_MAX = 4294967295  # Unix seconds, and with them sequence and floor: 32 bits

# Lists.
SIGNATURES_MAX = 3  # JWS in one offer
SOURCES_MAX = 4
HARDWARE_MAX = 16  # hardware revisions in a manifest
CRITICAL_MAX = 16
EVENTS_MAX = 8

# Image bytes.
CHUNK = 4096  # bytes: one flash sector
INDEX_ENTRY = 8  # bytes of SHA-256 per chunk
INDEX_PAGE = 512  # entries, so a page is at most 4096 bytes too
PAGES_MAX = 8
IMAGE_MAX = CHUNK * INDEX_PAGE * PAGES_MAX  # 16 MiB
JWS_HEADER_MAX = 128  # bytes, decoded

# Delivery.
WINDOW_FIRST = 2  # chunks
WINDOW_MAX = 16  # chunks
WINDOW_S = 5  # a window that takes longer is halved
TRIES = 8  # of one source without a single byte of answer, before the next source

# Confirming and reporting.
CONFIRM_S = 300  # when the manifest gives none
CONFIRM_S_MIN = 1
CONFIRM_S_MAX = 86400
ECHO_S = 10  # how long a new image waits for its "desired" before it asks for the echo of its "state"
ATTEMPTS_MAX = 3  # times that a higher "attempt" lifts a quarantine
BOOTS_MAX = 3  # of one unconfirmed image, which only a boot loader without rollback gives more than one
UNREACHABLE_MAX = 3  # times that an image may fail to reach the broker before it is quarantined
PROGRESS_PERCENT = 10  # progress is reported at this step or after PROGRESS_S, whichever is later
PROGRESS_S = 30
HEARTBEAT_S = 3600  # longest silence of "state"

# Connection. Every delay is multiplied by a random factor between 0.5 and 1.
KEEPALIVE_S = 60
BACKOFF_S = 1  # first delay; doubles
BACKOFF_MAX_S = 120
STALLED_S = 1800  # between two rounds over all sources once the phase is "stalled"
