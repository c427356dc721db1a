-- Who did periodic work, and how long ago. KEYS 1: heartbeats.
-- Returns a flat list of name, time (ms) and age (ms).
local now = now_ms()
local reply = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  for _, value in ipairs({all[i], all[i + 1], ms(now - all[i + 1])}) do table.insert(reply, value) end
end
return reply
