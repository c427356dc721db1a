-- Takes or keeps the lead of those that do the same periodic work, and remembers that the leader lives.
-- KEYS 1: leader, 2: heartbeats. ARGV 1: who asks, 2: for how long (ms), 3: name of the leader's heartbeat.
-- Returns 1 if who asks leads now, else 0; a repeated call of the leader keeps the lead.
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], ARGV[3], ms(now_ms()))
return 1
