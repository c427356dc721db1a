-- Remembers that something periodic did its work just now, and forgets what has not done so for very long.
-- KEYS 1: heartbeats. ARGV 1: name, 2: forgotten after (ms).
local now = now_ms()
redis.call('HSET', KEYS[1], ARGV[1], ms(now))
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if now - all[i + 1] > tonumber(ARGV[2]) then redis.call('HDEL', KEYS[1], all[i]) end
end
