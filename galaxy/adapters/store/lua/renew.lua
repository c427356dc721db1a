-- Renews the lease. ARGV 1: member, 2: token, 3: lease (ms). Returns '' or the state it was lost to.
local lost = lost_to(ARGV[2])
if lost then return lost end
local lease_until = ms(now_ms() + ARGV[3])
redis.call('HSET', VERSION, 'lease_until', lease_until)
redis.call('ZADD', DUE, lease_until, ARGV[1])
return ''
