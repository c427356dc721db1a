-- Gives a lock up, if `holder` has it.
-- KEYS: LOCK
-- ARGV: holder
-- Returns nothing.
local LOCK = unpack(KEYS)
local holder = unpack(ARGV)
if redis.call('GET', LOCK) == holder then redis.call('DEL', LOCK) end
