-- A worker that has to stop gives its attempt back unused. ARGV 1: member, 2: token.
-- Returns '' or the state it was lost to.
local lost = lost_to(ARGV[2])
if lost then return lost end
local refused = move(VERSION, ARGV[1], 'queued')
if refused then return refused end
redis.call('HINCRBY', VERSION, 'attempt', -1)
redis.call('ZADD', DUE, ms(now_ms()), ARGV[1])
return ''
