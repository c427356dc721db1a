-- Takes or keeps a lock that runs out by itself, and remembers that its holder lives.
-- KEYS: LOCK, HEARTBEATS
-- ARGV: holder, lock_ms, heartbeat
--   heartbeat: the name of the holder's heartbeat, or '' if it has none.
-- Returns 1 if `holder` has the lock now, else 0; a repeated call of the holder keeps the lock.
local LOCK, HEARTBEATS = unpack(KEYS)
local holder, lock_ms, heartbeat = unpack(ARGV)
local current = redis.call('GET', LOCK)
if current and current ~= holder then return 0 end
redis.call('SET', LOCK, holder, 'PX', lock_ms)
if heartbeat ~= '' then redis.call('HSET', HEARTBEATS, heartbeat, ms(now_ms())) end
return 1
