-- Remembers that something periodic did its work just now, and forgets what has not done so for very long.
-- KEYS: HEARTBEATS
-- ARGV: name, forgotten_after_ms
-- Returns nothing.
local HEARTBEATS = unpack(KEYS)
local name, forgotten_after_ms = unpack(ARGV)
local now = now_ms()
redis.call('HSET', HEARTBEATS, name, ms(now))
local all = redis.call('HGETALL', HEARTBEATS)
for i = 1, #all, 2 do
  if now - all[i + 1] > tonumber(forgotten_after_ms) then redis.call('HDEL', HEARTBEATS, all[i]) end
end
