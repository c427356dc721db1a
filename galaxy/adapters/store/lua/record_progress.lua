-- Records what an attempt is doing.
-- KEYS: VERSION, BASE_IMAGES
-- ARGV: token, work, step, base_digest, base_image_prefix
--   work: JSON, `WorkRules` of galaxy/domain/work.py; base_digest: what the base image was found to be, or ''.
-- Returns '' or the state that the lease was lost to.
local VERSION, BASE_IMAGES = unpack(KEYS)
local token, work, step, base_digest, base_image_prefix = unpack(ARGV)
-- include: lease.lua
local lost = lost_to(VERSION, token, cjson.decode(work))
if lost then return lost end
redis.call('HSET', VERSION, 'step', step)
if base_digest == '' then return '' end
redis.call('HSET', VERSION, 'base_digest', base_digest)
local image, wanted = unpack(redis.call('HMGET', VERSION, 'base_reference', 'wanted_digest'))
if wanted then
  redis.call('HDEL', VERSION, 'resolved_at')
  return ''
end
-- It was looked up just now. Where the last check found another digest, the next one is due at once.
local now = ms(now_ms())
redis.call('HSET', VERSION, 'resolved_at', now)
local known = redis.call('HGET', base_image_prefix .. (image or ''), 'digest')
if known and known ~= base_digest then redis.call('ZADD', BASE_IMAGES, 'XX', 'LT', now, image) end
return ''
