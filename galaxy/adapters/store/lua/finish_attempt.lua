-- The image is in the registry. ARGV 1: member, 2: token, 3: due in (ms), 4...: fields and values.
-- Returns '' or the state it was lost to; a repeated call of the same holder is answered ''.
local token, finished = unpack(redis.call('HMGET', VERSION, 'token', 'image_digest'))
if token == ARGV[2] and finished then return '' end
local lost = lost_to(ARGV[2])
if lost then return lost end
redis.call('HSET', VERSION, unpack(ARGV, 4))
redis.call('HDEL', VERSION, 'failure')
local refused = move(VERSION, ARGV[1], 'built')
if refused then return refused end
redis.call('ZADD', DUE, ms(now_ms() + ARGV[3]), ARGV[1])
return ''
