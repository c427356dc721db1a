-- Reads who did periodic work, and how long ago.
-- KEYS: HEARTBEATS
-- ARGV: none
-- Returns a flat list of name, time (ms) and age (ms).
local HEARTBEATS = unpack(KEYS)
local now = now_ms()
local reply = {}
local all = redis.call('HGETALL', HEARTBEATS)
for i = 1, #all, 2 do
  for _, value in ipairs({all[i], all[i + 1], ms(now - all[i + 1])}) do table.insert(reply, value) end
end
return reply
