-- A worker that has to stop gives its attempt back unused. ARGV 1: member, 2: token.
-- Returns '' or the state it was lost to; a repeated call of the same holder is answered ''.
local state, token = unpack(redis.call('HMGET', VERSION, 'state', 'token'))
if token == ARGV[2] and state == 'queued' then return '' end
local lost = lost_to(ARGV[2])
if lost then return lost end
tell('handed_back', VERSION, '')
local refused = move(VERSION, ARGV[1], 'queued')
if refused then return refused end
redis.call('HINCRBY', VERSION, 'attempt', -1)
redis.call('ZADD', DUE, ms(now_ms()), ARGV[1])
return ''
