-- Records what an attempt is doing. ARGV 1: token, 2...: fields and values. Returns '' or the state it was lost to.
local lost = lost_to(ARGV[1])
if lost then return lost end
redis.call('HSET', VERSION, unpack(ARGV, 2))
return ''
