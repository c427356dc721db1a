-- Records what an attempt is doing. KEYS 9: base images. ARGV 1: token, 2: step, 3: digest that its base image has, or '',
-- 4: prefix of base images' records. Returns '' or the state it was lost to.
local lost = lost_to(ARGV[1])
if lost then return lost end
redis.call('HSET', VERSION, 'step', ARGV[2])
if ARGV[3] == '' then return '' end
redis.call('HSET', VERSION, 'base_digest', ARGV[3])
local image, wanted = unpack(redis.call('HMGET', VERSION, 'base_reference', 'wanted_digest'))
if wanted then
  redis.call('HDEL', VERSION, 'resolved_at')
  return ''
end
-- It was looked up just now. Where the last check found another digest, the next one is due at once.
local now = ms(now_ms())
redis.call('HSET', VERSION, 'resolved_at', now)
local known = redis.call('HGET', ARGV[4] .. (image or ''), 'digest')
if known and known ~= ARGV[3] then redis.call('ZADD', KEYS[9], 'XX', 'LT', now, image) end
return ''
