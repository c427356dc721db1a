-- What an app wants of base image updates. KEYS 1: app, 2: updates. ARGV 1: app, 2: 'on', 'off' or 'pinned',
-- 3-4: prefixes of versions, late.
-- Returns {'set', pinned digest or ''}, {'missing', ''} or {'nothing active', ''}.
local last, active, images = unpack(redis.call('HMGET', KEYS[1], 'last', 'active', 'base_images'))
if not last then return {'missing', ''} end
local digest = ''
if ARGV[2] == 'pinned' then
  local image
  if active then
    image, digest = unpack(redis.call('HMGET', ARGV[3] .. ARGV[1] .. ':' .. active, 'base_reference', 'base_digest'))
  end
  if not image or not digest then return {'nothing active', ''} end
  redis.call('HSET', KEYS[1], 'pinned_image', image, 'pinned_digest', digest)
else
  redis.call('HDEL', KEYS[1], 'pinned_image', 'pinned_digest')
end
redis.call('HSET', KEYS[1], 'updates', ARGV[2])
-- what it missed meanwhile
for image in string.gmatch(ARGV[2] == 'on' and images or '', '%S+') do
  redis.call('ZINCRBY', ARGV[4] .. image, 1, ARGV[1])
  redis.call('ZADD', KEYS[2], ms(now_ms()), image)
end
return {'set', digest}
