-- Remembers that a version was enqueued just now.
-- KEYS: VERSION
-- ARGV: none
-- Returns nothing.
local VERSION = unpack(KEYS)
redis.call('HSET', VERSION, 'enqueued_at', ms(now_ms()))
